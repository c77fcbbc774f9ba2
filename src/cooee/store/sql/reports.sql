-- What became of a campaign's messages, for DRStatus.

-- name: report_page json(destination, state, changed_at, code)
-- Walks along the primary key. Messages without a final result are returned too and left out by the caller: a
-- page that had to find so many final ones could scan the whole campaign in one statement.
SELECT destination, state, changed_at, code FROM message
WHERE account_id = :account_id AND campaign_id = :campaign_id AND destination > :after
ORDER BY destination LIMIT :limit;

-- name: report_one
SELECT destination, state, changed_at, code FROM message
WHERE account_id = :account_id AND campaign_id = :campaign_id AND destination = :destination;
