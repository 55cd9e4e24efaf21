-- report: Doubt
-- description: A boolean with a default.
-- source: data
-- parameter: Maybe boolean default false

-- results
SELECT :Maybe AS "maybe";
