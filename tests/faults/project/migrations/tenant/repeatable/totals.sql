CREATE OR REPLACE VIEW totals AS SELECT sum(total) AS total FROM r4;
INSERT INTO public.journal VALUES (:'schema', 100);
