-- migrate:up
CREATE TABLE r6 (id int);
INSERT INTO public.journal VALUES (:'schema', 6);
COMMIT;
INSERT INTO r6 VALUES (1);
