-- Twelve organizations; some question banks are shared; each upload is used by one organization.
INSERT INTO countries VALUES ('CA', 'Canada', 'Canada'), ('US', 'United States', 'États-Unis');
INSERT INTO languages VALUES ('en', 'English'), ('fr', 'French');
INSERT INTO organizations (name, slug, country_code) SELECT 'Org ' || i, 'org-' || i, 'CA' FROM generate_series(1, 12) i;
INSERT INTO users (email, full_name, password_hash) SELECT 'u' || i || '@example.org', 'User ' || i, 'x' FROM generate_series(1, 120) i;
INSERT INTO memberships (organization_id, user_id, role) SELECT 1 + i % 12, i, 'learner' FROM generate_series(1, 120) i;
INSERT INTO course_categories (slug, name) VALUES ('science', 'Science'), ('arts', 'Arts');
INSERT INTO courses (organization_id, category_id, title) SELECT 1 + i % 12, 1 + i % 2, 'Course ' || i FROM generate_series(1, 48) i;
INSERT INTO modules (course_id, position, title) SELECT 1 + i % 48, 1, 'Module ' || i FROM generate_series(1, 96) i;
INSERT INTO lessons (module_id, title) SELECT 1 + i % 96, 'Lesson ' || i FROM generate_series(1, 200) i;
INSERT INTO question_banks (organization_id, name) SELECT nullif(i % 13, 0), 'Bank ' || i FROM generate_series(1, 39) i;
INSERT INTO questions (bank_id, prompt) SELECT 1 + i % 39, 'Question ' || i FROM generate_series(1, 300) i;
INSERT INTO choices (question_id, label, correct) SELECT 1 + i % 300, 'a', false FROM generate_series(1, 600) i;
INSERT INTO assessments (course_id, title) SELECT 1 + i % 48, 'Test' FROM generate_series(1, 60) i;
-- One enrolment in eight names another organization than its course: rows of two organizations.
INSERT INTO enrolments (organization_id, course_id, user_id)
  SELECT CASE WHEN i % 8 = 0 THEN 1 + (c.organization_id % 12) ELSE c.organization_id END, c.id, i
    FROM generate_series(1, 120) i JOIN courses c ON c.id = 1 + i % 48;
INSERT INTO comments (commentable_type, commentable_id, author_id, body) SELECT CASE i % 2 WHEN 0 THEN 'Lesson' ELSE 'Course' END, i, i, 'text' FROM generate_series(1, 40) i;
INSERT INTO uploads SELECT gen_random_uuid(), 'f' || i, 'c', i, now() FROM generate_series(1, 100) i;
INSERT INTO lesson_attachments SELECT row_number, id FROM (SELECT row_number() OVER (), id FROM uploads) x;
ANALYZE;
