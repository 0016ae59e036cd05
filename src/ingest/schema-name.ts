/** The schema of our own rows: the one that streams and switches use (binlog/control-schema.ts, which this room does not import). */
export const controlSchemaName = '_shardwright'
