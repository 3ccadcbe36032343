-- migrate:up

CREATE TABLE tasks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id bigint NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
  title text NOT NULL CHECK (title <> ''),
  -- A user's id in the shared schema, on purpose without a foreign key: every tenant's would
  -- lock the one users table when it is added, and no tenant could be dumped or moved alone.
  assignee_id bigint,
  minutes_spent integer NOT NULL DEFAULT 0 CHECK (minutes_spent >= 0),
  done_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX tasks_project_id_idx ON tasks (project_id);
CREATE INDEX tasks_open_by_assignee_idx ON tasks (assignee_id) WHERE done_at IS NULL;

-- migrate:down

DROP TABLE tasks;
