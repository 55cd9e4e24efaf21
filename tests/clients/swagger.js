// swagger.js FILE: swagger-parser's opinion of an OpenAPI document.
import SwaggerParser from "@apidevtools/swagger-parser";

await SwaggerParser.validate(process.argv[2]);
