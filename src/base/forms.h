/* src/base/forms.h -- the forms of a result, as the server and its client call them. */
#pragma once

/* enum, word of `format=` and ending of a file name, media type; the first one is the default. */
#define FORMS(X)                                                                                   \
    X(JSON, "json", "application/json")                                                            \
    X(NDJSON, "ndjson", "application/x-ndjson")                                                    \
    X(CSV, "csv", "text/csv")                                                                      \
    X(XLSX, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
