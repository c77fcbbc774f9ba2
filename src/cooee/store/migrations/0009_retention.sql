-- Old rows go (service/retention.py says which, when and why).

-- What is left of a campaign that was removed: what a bill counts, and what a reply to it is shown with. Its text,
-- its recipients and their outcomes are gone. `swept` 0: the rows of a large one are still being removed.
CREATE TABLE campaign_past (
    account_id BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    messages   BIGINT NOT NULL,
    segments   SMALLINT NOT NULL,
    reference  TEXT,
    removed_at BIGINT NOT NULL,
    swept      SMALLINT NOT NULL,
    -- [sqlite]
    PRIMARY KEY (account_id, id)
) WITHOUT ROWID;
    -- [postgres]
    PRIMARY KEY (account_id, id)
);
-- [both]
CREATE INDEX campaign_past_unswept ON campaign_past (id) WHERE swept = 0;

CREATE INDEX reply_answer_campaign ON reply_answer (account_id, campaign_id);
CREATE INDEX optout_past_deleted ON optout_past (deleted_at);
CREATE INDEX quarantine_receipt ON quarantine (at) WHERE kind = 'receipt';
-- [postgres]

-- Drops one partition: 1 done, 0 somebody uses the table and is not waited for, -1 there are campaigns in it. Whoever
-- wants the table next stands behind this lock, so it is asked for very shortly. What is looked for under the lock is
-- looked for before, too: the first look passes over what was deleted a moment ago, and the second one finds it marked.
CREATE FUNCTION drop_partition(parent TEXT, child TEXT, low BIGINT, high BIGINT) RETURNS INTEGER
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM campaign c WHERE c.id >= low AND c.id < high) THEN
        RETURN -1;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %I IN ACCESS EXCLUSIVE MODE', parent);
    IF EXISTS (SELECT 1 FROM campaign c WHERE c.id >= low AND c.id < high) THEN
        RETURN -1;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I', child);
    RETURN 1;
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END
$$;
-- [both]
