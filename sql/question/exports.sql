-- Who took out of the log or asked it: exports, questions, opened records, erasures
SELECT sequence, "time", operation, coalesce(actor, details ->> 'person', details ->> 'operator') AS actor, organization,
  coalesce(details ->> 'question', details ->> 'query') AS question, coalesce(details ->> 'count', details ->> 'records') AS found, details
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code = 'log_changed'
  AND operation NOT IN ('log.start', 'log.stop', 'log.rotate')
ORDER BY "time" DESC
