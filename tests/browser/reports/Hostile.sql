-- report: Hostile
-- description: <img src=x onerror=window.hostile=1> "texts" & 'more' <script>window.hostile=1</script>
-- source: data
-- parameter: Text string "<b onclick=window.hostile=1>Any</b> text"
-- parameter: Choice string "<svg onload=window.hostile=1>"
-- parameter: Colour enum(<script>window.hostile=1</script>|"'><img src=x onerror=window.hostile=1>)
-- column: value string "<img src=x onerror=window.hostile=1>" <i>
-- column: nested[].value string "<script>window.hostile=1</script>"
-- column: values json "<svg onload=window.hostile=1>"

-- values: Choice
SELECT value, 'label of ' || value FROM hostile WHERE value <> '' ORDER BY id;

-- check: There is no text :Text here.
SELECT 1 FROM hostile WHERE :Text IS NULL OR :Text = 'fine';

-- results
SELECT id AS "id", value AS "value", :Text AS "text", :Colour AS "colour", id AS "nested[].id", value AS "nested[].value"
FROM hostile WHERE :Choice IS NULL OR value = :Choice ORDER BY id;

-- set: more
SELECT value AS "value" FROM hostile ORDER BY id;

-- summary
SELECT :Text AS "text", (SELECT json_group_array(json_object('value', value)) FROM hostile) AS "values";
