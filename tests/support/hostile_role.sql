-- For scripts/test --hostile: settings that a role or a database may have, and that an operator's
-- tool has to get along with. Half of them for every role, half for the one that runs the tests.
-- psql; needs a superuser.
\set ON_ERROR_STOP 1
CREATE SCHEMA planted;
SELECT current_setting('server_version_num')::int >= 140000 AS has_idle_session_timeout,
       current_setting('server_version_num')::int >= 170000 AS has_transaction_timeout,
       current_user AS me
\gset

ALTER ROLE ALL SET default_transaction_isolation = 'serializable';
ALTER ROLE ALL SET default_transaction_deferrable = on;
ALTER ROLE ALL SET synchronous_commit = off;
ALTER ROLE ALL SET search_path = 'planted';
ALTER ROLE ALL SET "DateStyle" = 'SQL, DMY';
ALTER ROLE ALL SET "IntervalStyle" = 'sql_standard';
ALTER ROLE ALL SET "TimeZone" = 'Asia/Kathmandu';
ALTER ROLE ALL SET client_encoding = 'LATIN1';
ALTER ROLE ALL SET bytea_output = 'escape';
ALTER ROLE ALL SET extra_float_digits = -15;
ALTER ROLE ALL SET transform_null_equals = on;
ALTER ROLE ALL SET array_nulls = off;

ALTER ROLE :"me" SET default_transaction_read_only = on;
ALTER ROLE :"me" SET statement_timeout = '100ms';
ALTER ROLE :"me" SET lock_timeout = '20ms';
ALTER ROLE :"me" SET idle_in_transaction_session_timeout = '50ms';
ALTER ROLE :"me" SET standard_conforming_strings = off;
ALTER ROLE :"me" SET check_function_bodies = off;
ALTER ROLE :"me" SET row_security = off;
ALTER ROLE :"me" SET session_replication_role = 'replica';
ALTER ROLE :"me" SET client_min_messages = 'log';
ALTER ROLE :"me" SET exit_on_error = on;
ALTER ROLE :"me" SET plan_cache_mode = 'force_custom_plan';
\if :has_idle_session_timeout
ALTER ROLE :"me" SET idle_session_timeout = '200ms';
\endif
\if :has_transaction_timeout
ALTER ROLE :"me" SET transaction_timeout = '150ms';
\endif
