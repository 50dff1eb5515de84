-- Two organizations' rows: {{own}} is the attacker's, {{other}} the victim's.
INSERT INTO app.organization VALUES ({{own}}, 'alpha college'), ({{other}}, 'bravo academy');
INSERT INTO app.course SELECT {{own}}, i, 'alpha course ' || i, i FROM generate_series(1, 20) i;
INSERT INTO app.course SELECT {{other}}, i, 'bravo course ' || i, i FROM generate_series(1, 20) i;
INSERT INTO app.lesson SELECT {{own}}, i, i, 'alpha lesson ' || i FROM generate_series(1, 20) i;
INSERT INTO app.lesson SELECT {{other}}, i, i, 'bravo lesson ' || i FROM generate_series(1, 20) i;
INSERT INTO app.enrolment SELECT i, {{own}}, 'alpha person ' || i FROM generate_series(1, 10) i;
INSERT INTO app.enrolment SELECT 1000 + i, {{other}}, 'bravo person ' || i FROM generate_series(1, 10) i;
INSERT INTO app.answer SELECT i, i, 'alpha answer ' || i FROM generate_series(1, 10) i;
INSERT INTO app.answer SELECT 1000 + i, 1000 + i, 'bravo answer ' || i FROM generate_series(1, 10) i;
INSERT INTO app.activity SELECT {{own}}, date '2025-06-01' + 30 * i, 'alpha activity ' || i FROM generate_series(1, 12) i;
INSERT INTO app.activity SELECT {{other}}, date '2025-06-01' + 30 * i, 'bravo activity ' || i FROM generate_series(1, 12) i;
INSERT INTO app.question VALUES (1, NULL, 'shared question'), (2, {{own}}, 'alpha question'), (3, {{other}}, 'bravo question');
INSERT INTO public.report SELECT {{own}}, i, 'alpha report ' || i FROM generate_series(1, 5) i;
INSERT INTO public.report SELECT {{other}}, i, 'bravo report ' || i FROM generate_series(1, 5) i;
INSERT INTO app.country VALUES ('CA', 'Canada'), ('US', 'United States');
INSERT INTO app.account VALUES ('u-1', 'alpha Ada'), ('u-2', 'bravo Grace');
INSERT INTO app.member VALUES ({{own}}, 'u-1'), ({{other}}, 'u-2');
SELECT setval('app.course_number', 1000);
