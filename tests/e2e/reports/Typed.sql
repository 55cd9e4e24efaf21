-- report: Typed
-- description: One parameter of every type; the values come back.
-- source: data
-- parameter: Text string "Any text"
-- parameter: Number integer default 42 "Any integer"
-- parameter: Price decimal default 12.50
-- parameter: Day date default today "The day to report on"
-- parameter: Flag boolean default false
-- parameter: Colour enum(Red|Green|Blue) "What to paint it"
-- column: flag boolean

-- results
SELECT :Text AS "text", :Number AS "number", :Price AS "price", :Day AS "day", :Flag AS "flag",
       :Colour AS "colour";
