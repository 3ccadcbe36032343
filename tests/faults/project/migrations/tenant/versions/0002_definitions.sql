-- migrate:up
CREATE TABLE r2 (id int PRIMARY KEY, customer int);
-- Without a name of its own: each time that it is run leaves one constraint more.
ALTER TABLE r1 ADD CHECK (id > 0);

-- migrate:down
ALTER TABLE r1 DROP CONSTRAINT r1_id_check;
DROP TABLE r2;
