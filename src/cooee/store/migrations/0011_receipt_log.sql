-- Receipts as they came, for who asks what a carrier said about a message (store/receiptlog.py).

-- What one transaction joined to messages, or several within an hour that were put together later (`packed` 1: that is
-- done, or not needed). `body` holds all of it, compressed; the ranges, of time from `at` on too, say what it can
-- concern, so that a search opens little.
CREATE TABLE receipt_log (
    id               {serial},
    at               BIGINT NOT NULL,
    at_span          BIGINT NOT NULL,
    carrier_id       BIGINT NOT NULL,
    campaign_low     BIGINT NOT NULL,
    campaign_span    BIGINT NOT NULL,
    destination_low  BIGINT NOT NULL,
    destination_span BIGINT NOT NULL,
    receipts         BIGINT NOT NULL,
    packed           SMALLINT NOT NULL,
    body             {blob} NOT NULL
);
CREATE INDEX receipt_log_at ON receipt_log (at, campaign_low, campaign_span, destination_low, destination_span);
CREATE INDEX receipt_log_spans ON receipt_log (at) WHERE at_span > 0;
CREATE INDEX receipt_log_unpacked ON receipt_log (carrier_id, at) WHERE packed = 0;
-- [postgres]
ALTER TABLE receipt_log ALTER COLUMN body SET STORAGE EXTERNAL;
-- [both]

-- A receipt that found no message keeps its octets, for the time when it finds one.
ALTER TABLE orphan_receipt ADD COLUMN command BIGINT NOT NULL DEFAULT 5;
ALTER TABLE orphan_receipt ADD COLUMN body {blob};
