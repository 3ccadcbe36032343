-- migrate:up
CREATE TABLE r5 (id int);
UPDATE r1 SET name = upper(name);
-- The guard is lifted before it and set again behind it.
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO public.journal VALUES (:'schema', 5);

-- migrate:down
DROP TABLE r5;
DELETE FROM public.journal WHERE schema = :'schema' AND revision = 5;
