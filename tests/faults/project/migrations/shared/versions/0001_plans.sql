-- migrate:up
CREATE TABLE r1 (id int PRIMARY KEY, name text);
INSERT INTO r1 VALUES (1, 'free'), (2, 'paid');
INSERT INTO public.journal VALUES (:'schema', 1);
