-- Which dead letters were put back on their topic (docs/dead-letters.md).

ALTER TABLE dead_letters ADD COLUMN replayed_at timestamptz;

COMMENT ON COLUMN dead_letters.replayed_at IS 'when consumer dead-letters replay last put it back; null: never';
