-- Decisions by outcome and reason
--: organization text -: only of this organization
SELECT outcome, reason, event_code, sum(times)::bigint AS times, count(organization) AS organizations, min(first_seen) AS first_seen,
  max(last_seen) AS last_seen, min(first_sequence) AS first_sequence, max(last_sequence) AS last_sequence
FROM (
  SELECT outcome, coalesce(reason, '') AS reason, event_code, organization, count(*) AS times, min("time") AS first_seen,
    max("time") AS last_seen, min(sequence) AS first_sequence, max(sequence) AS last_sequence
  FROM domicile_index.event
  WHERE "time" >= $1::timestamptz AND "time" < $2::timestamptz AND event_code IN ('request', 'cross_region', 'sign_in', 'token_issued')
    AND ($3::text = '-' OR organization = $3::text)
  GROUP BY 1, 2, 3, 4) of_organizations
GROUP BY 1, 2, 3
ORDER BY times DESC
