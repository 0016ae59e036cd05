-- A partition a day, for what is kept and what comes next: fleets make them ahead, on all branches alike, and drop those that have expired.
CREATE TABLE query_minute (
  database_id INT UNSIGNED NOT NULL,
  fingerprint CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bucket DATETIME NOT NULL,
  queries BIGINT UNSIGNED NOT NULL,
  rows_read BIGINT UNSIGNED NOT NULL,
  total_us BIGINT UNSIGNED NOT NULL,
  summaries BIGINT UNSIGNED NOT NULL,
  slowest_ms INT UNSIGNED NOT NULL,
  latency BLOB NOT NULL,
  PRIMARY KEY (database_id, fingerprint, bucket)
) PARTITION BY RANGE COLUMNS (bucket) (PARTITION p0 VALUES LESS THAN ('2026-01-01 00:00:00'));
CREATE TABLE query_hour (
  database_id INT UNSIGNED NOT NULL,
  fingerprint CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bucket DATETIME NOT NULL,
  queries BIGINT UNSIGNED NOT NULL,
  rows_read BIGINT UNSIGNED NOT NULL,
  total_us BIGINT UNSIGNED NOT NULL,
  summaries BIGINT UNSIGNED NOT NULL,
  slowest_ms INT UNSIGNED NOT NULL,
  latency BLOB NOT NULL,
  PRIMARY KEY (database_id, fingerprint, bucket)
) PARTITION BY RANGE COLUMNS (bucket) (PARTITION p0 VALUES LESS THAN ('2026-01-01 00:00:00'));
CREATE TABLE slow_query (
  database_id INT UNSIGNED NOT NULL,
  at DATETIME(3) NOT NULL,
  from_partition INT UNSIGNED NOT NULL,
  from_offset BIGINT UNSIGNED NOT NULL,
  event_id VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  ms INT UNSIGNED NOT NULL,
  query VARCHAR(500) CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (database_id, at, from_partition, from_offset)
) PARTITION BY RANGE COLUMNS (at) (PARTITION p0 VALUES LESS THAN ('2026-01-01 00:00:00'));
