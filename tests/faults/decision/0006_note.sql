-- migrate:up transaction:false
INSERT INTO public.journal VALUES (:'schema', 6);
