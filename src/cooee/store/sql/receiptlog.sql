-- Receipts as they came: store/receiptlog.py.

-- name: keep_receipts
-- One row a transaction, however many receipts it applied.
INSERT INTO receipt_log (at, carrier_id, campaign_low, campaign_span, destination_low, destination_span, receipts, body)
VALUES (:now, :carrier_id, :campaign_low, :campaign_span, :destination_low, :destination_span, :receipts, :body);

-- name: receipt_boundary
-- Where a stretch of the log ends, so that one look goes through no more than `skip` rows of the index.
SELECT at FROM receipt_log WHERE at > :after AND at <= :until ORDER BY at LIMIT 1 OFFSET :skip;

-- name: receipts_within
-- Rows that can concern a recipient, by the index alone.
SELECT id, at FROM receipt_log WHERE at >= :after AND at <= :until AND (at, id) > (:after, :after_id)
    AND campaign_low <= :campaign_id AND campaign_low + campaign_span >= :campaign_id
    AND destination_low <= :destination AND destination_low + destination_span >= :destination
ORDER BY at, id LIMIT :limit;

-- name: receipt_bodies rows(id bigint)
SELECT l.at, k.name, l.body FROM {rows} AS r JOIN receipt_log l ON l.id = r.id LEFT JOIN carrier k ON k.id = l.carrier_id
ORDER BY l.at, l.id;

-- name: drop_old_receipts
DELETE FROM receipt_log WHERE id IN (SELECT id FROM receipt_log WHERE at < :before ORDER BY at LIMIT :limit);

-- name: count_old_receipts
SELECT COUNT(*) FROM receipt_log WHERE at < :before;
