-- migrate:up
CREATE TABLE r1 (id int PRIMARY KEY, name text);
INSERT INTO r1 SELECT n, 'customer ' || n FROM generate_series(1, 50) AS n;
INSERT INTO public.journal VALUES (:'schema', 1);

-- migrate:down
DROP TABLE r1;
DELETE FROM public.journal WHERE schema = :'schema' AND revision = 1;
