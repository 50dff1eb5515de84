-- Decisions by outcome and reason
--: organization text -: only of this organization
SELECT outcome, coalesce(reason, '') AS reason, event_code, count(*) AS times, count(DISTINCT organization) AS organizations,
  min("time") AS first_seen, max("time") AS last_seen, min(sequence) AS first_sequence, max(sequence) AS last_sequence
FROM domicile_index.event
WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code IN ('request', 'cross_region', 'sign_in', 'token_issued')
  AND ($3::text = '-' OR organization = $3::text)
GROUP BY 1, 2, 3
ORDER BY times DESC
