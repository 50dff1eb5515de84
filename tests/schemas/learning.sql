-- A learning platform: bigint keys, declared foreign keys, snake case, plurals.
CREATE TABLE schema_migrations (version text PRIMARY KEY);
CREATE TABLE countries (code char(2) PRIMARY KEY, name text NOT NULL, name_fr text);
CREATE TABLE subdivisions (code text PRIMARY KEY, country_code char(2) NOT NULL REFERENCES countries, name text NOT NULL);
CREATE TABLE languages (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE organizations (id bigserial PRIMARY KEY, name text NOT NULL, slug text NOT NULL UNIQUE,
  country_code char(2) REFERENCES countries, plan text NOT NULL DEFAULT 'free', created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE users (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, full_name text NOT NULL,
  password_hash text NOT NULL, language_code text REFERENCES languages, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE memberships (id bigserial PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations,
  user_id bigint NOT NULL REFERENCES users, role text NOT NULL, UNIQUE (organization_id, user_id));
CREATE TABLE user_sessions (id uuid PRIMARY KEY, user_id bigint NOT NULL REFERENCES users, ip inet, user_agent text, expires_at timestamptz NOT NULL);
CREATE TABLE password_resets (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, token_hash text NOT NULL, expires_at timestamptz NOT NULL);
CREATE TABLE course_categories (id serial PRIMARY KEY, slug text NOT NULL UNIQUE, name text NOT NULL);
CREATE TABLE skills (id serial PRIMARY KEY, code text NOT NULL UNIQUE, name text NOT NULL, parent_id int REFERENCES skills);
CREATE TABLE courses (id bigserial PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations,
  category_id int REFERENCES course_categories, title text NOT NULL, created_by bigint REFERENCES users);
CREATE INDEX ON courses (organization_id);
CREATE TABLE course_skills (course_id bigint NOT NULL REFERENCES courses ON DELETE CASCADE, skill_id int NOT NULL REFERENCES skills, PRIMARY KEY (course_id, skill_id));
CREATE TABLE modules (id bigserial PRIMARY KEY, course_id bigint NOT NULL REFERENCES courses, position int NOT NULL, title text NOT NULL);
CREATE TABLE lessons (id bigserial PRIMARY KEY, module_id bigint NOT NULL REFERENCES modules, title text NOT NULL, body text);
CREATE TABLE question_banks (id bigserial PRIMARY KEY, organization_id bigint REFERENCES organizations, name text NOT NULL, subject text);
CREATE TABLE questions (id bigserial PRIMARY KEY, bank_id bigint NOT NULL REFERENCES question_banks, prompt text NOT NULL);
CREATE TABLE choices (id bigserial PRIMARY KEY, question_id bigint NOT NULL REFERENCES questions ON DELETE CASCADE, label text NOT NULL, correct boolean NOT NULL);
CREATE TABLE assessments (id bigserial PRIMARY KEY, course_id bigint NOT NULL REFERENCES courses, title text NOT NULL, opens_at timestamptz);
CREATE TABLE assessment_questions (assessment_id bigint NOT NULL REFERENCES assessments, question_id bigint NOT NULL REFERENCES questions, position int, PRIMARY KEY (assessment_id, question_id));
CREATE TABLE enrolments (id bigserial PRIMARY KEY, organization_id bigint NOT NULL REFERENCES organizations, course_id bigint NOT NULL REFERENCES courses, user_id bigint NOT NULL REFERENCES users, enrolled_at timestamptz);
CREATE TABLE attempts (id bigserial PRIMARY KEY, assessment_id bigint NOT NULL REFERENCES assessments, enrolment_id bigint NOT NULL REFERENCES enrolments, started_at timestamptz, score numeric);
CREATE TABLE answers (attempt_id bigint NOT NULL REFERENCES attempts ON DELETE CASCADE, question_id bigint NOT NULL REFERENCES questions, choice_id bigint REFERENCES choices, body text, graded_by bigint REFERENCES users, PRIMARY KEY (attempt_id, question_id));
CREATE TABLE certificates (id uuid PRIMARY KEY, enrolment_id bigint NOT NULL UNIQUE REFERENCES enrolments, issued_at timestamptz NOT NULL, serial text NOT NULL UNIQUE);
CREATE TABLE daily_reports (organization_id bigint NOT NULL REFERENCES organizations, day date NOT NULL, active_users int NOT NULL, PRIMARY KEY (organization_id, day));
CREATE TABLE announcements (id bigserial PRIMARY KEY, course_id bigint NOT NULL REFERENCES courses, author_id bigint NOT NULL REFERENCES users, body text NOT NULL);
CREATE TABLE comments (id bigserial PRIMARY KEY, commentable_type text NOT NULL, commentable_id bigint NOT NULL, author_id bigint NOT NULL REFERENCES users, body text NOT NULL);
CREATE TABLE activity_events (id bigint NOT NULL, organization_id bigint NOT NULL REFERENCES organizations, user_id bigint, kind text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE activity_events_2026_01 PARTITION OF activity_events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE activity_events_2026_02 PARTITION OF activity_events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE VIEW course_overview AS SELECT c.id, c.title, count(e.id) AS enrolled FROM courses c LEFT JOIN enrolments e ON e.course_id = c.id GROUP BY 1, 2;
CREATE TABLE job_queue (id bigserial PRIMARY KEY, queue text NOT NULL, args jsonb NOT NULL, run_at timestamptz NOT NULL);
CREATE TABLE uploads (id uuid PRIMARY KEY, filename text NOT NULL, checksum text NOT NULL, byte_size bigint NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE lesson_attachments (lesson_id bigint NOT NULL REFERENCES lessons, upload_id uuid NOT NULL REFERENCES uploads, PRIMARY KEY (lesson_id, upload_id));
