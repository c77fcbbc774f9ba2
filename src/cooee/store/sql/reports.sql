-- What became of a campaign's messages: for DRStatus, and why some failed.

-- name: report_page json(destination, state, changed_at, code)
-- Walks along the primary key. Messages without a final result are returned too and left out by the caller: a
-- page that had to find so many final ones could scan the whole campaign in one statement. Of a campaign that is being
-- removed nothing is reported any more, however much of it is left.
SELECT destination, state, changed_at, code FROM message
WHERE account_id = :account_id AND campaign_id = :campaign_id AND destination > :after
    AND NOT EXISTS (SELECT 1 FROM campaign_past c WHERE c.account_id = :account_id AND c.id = :campaign_id)
ORDER BY destination LIMIT :limit;

-- name: report_one
SELECT destination, state, changed_at, code FROM message
WHERE account_id = :account_id AND campaign_id = :campaign_id AND destination = :destination
    AND NOT EXISTS (SELECT 1 FROM campaign_past c WHERE c.account_id = :account_id AND c.id = :campaign_id);

-- name: failure_page
-- Why messages failed, within one page along the primary key. Those that did not fail make a row without a code, so
-- that the caller sees how far the page went. Only receipts set the mask of failed parts.
SELECT CASE WHEN p.state = 6 THEN p.code END, CASE WHEN p.state = 6 AND p.failed <> 0 THEN 1 ELSE 0 END, COUNT(*),
    MAX(p.destination)
FROM (SELECT destination, state, code, failed FROM message
    WHERE account_id = :account_id AND campaign_id = :campaign_id AND destination > :after
    ORDER BY destination LIMIT :limit) AS p
GROUP BY 1, 2;
