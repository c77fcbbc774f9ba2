-- Receipts as they came, for who asks what a carrier said about a message (store/receiptlog.py).

-- What one transaction joined to messages. `body` holds all of it, compressed; the ranges say whom it can concern, so
-- that a search opens little.
CREATE TABLE receipt_log (
    -- [sqlite]
    id INTEGER PRIMARY KEY,
    -- [postgres]
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- [both]
    at               BIGINT NOT NULL,
    carrier_id       BIGINT NOT NULL,
    campaign_low     BIGINT NOT NULL,
    campaign_span    BIGINT NOT NULL,
    destination_low  BIGINT NOT NULL,
    destination_span BIGINT NOT NULL,
    receipts         BIGINT NOT NULL,
    body             {blob} NOT NULL
);
CREATE INDEX receipt_log_at ON receipt_log (at, campaign_low, campaign_span, destination_low, destination_span);
-- [postgres]
ALTER TABLE receipt_log ALTER COLUMN body SET STORAGE EXTERNAL;
-- [both]

-- A receipt that found no message keeps its octets, for the time when it finds one.
ALTER TABLE orphan_receipt ADD COLUMN command BIGINT NOT NULL DEFAULT 5;
ALTER TABLE orphan_receipt ADD COLUMN body {blob};
