-- migrate:up
CREATE TABLE r4 (id int PRIMARY KEY, total numeric);
DO $$
BEGIN
  FOR n IN 1..10 LOOP
    INSERT INTO r4 VALUES (n, n * 1.5);
  END LOOP;
END
$$;
INSERT INTO public.journal VALUES (:'schema', 4);

-- migrate:down
DROP VIEW IF EXISTS totals;
DROP TABLE r4;
DELETE FROM public.journal WHERE schema = :'schema' AND revision IN (4, 100);
