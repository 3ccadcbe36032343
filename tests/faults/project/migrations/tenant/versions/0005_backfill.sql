-- migrate:up
CREATE TABLE r5 (id int);
UPDATE r1 SET name = upper(name);
INSERT INTO public.journal VALUES (:'schema', 5);
