-- report: R
-- source: s
-- parameter: a enum(A| B |C c) default 'C c' "x"
-- parameter: b string default 'it''s'
-- check: :a and :b, ::c
SELECT $t$ :x $$ $t$, E'\' :x', [:y], "z"[:a]
-- results
SELECT :b::text /* :c */;
-- summary
SELECT `a`