/** What can be set; what an operator may, by flags, stands in main/gate-limits.ts. All bounds are per gate process. */
export type GateConfig = {
  /** What the gate says its version is, in the greeting: clients choose dialects by it. Empty: that of the first server. */
  serverVersion: string
  sessionsMax: number
  /** No client without TLS. */
  requireTls: boolean
  /** Connections to one server for clients' statements, at most; as many for the gate's own beside them (rows of lookups, columns of tables, ends of transactions). */
  backendConnectionsMax: number
  backendIdleMs: number
  connectTimeoutMs: number
  /** A statement waits at most this long for a free connection. */
  poolWaitMs: number
  /** Held statements: at most this many bytes and this long. */
  holdBytesMax: number
  holdMs: number
  /** A transaction that touched a component on hold may go on this long. */
  transactionGraceMs: number
  /** Bytes of one statement. */
  packetBytesMax: number
  /** What a scattered statement may hold in memory. */
  scatterBytesMax: number
  /** What all of them may at once. */
  heldBytesMax: number
  /** Unsent bytes to a slow client above which its server is paused. */
  clientBufferBytesMax: number
  /** A statement that takes longer is counted as slow. */
  slowMs: number
  /** How often what statements were is written to the topology. */
  queriesEveryMs: number
  leaseMs: number
  /** A replica that is further behind is not read. */
  replicaLagMaxMs: number
  /** How often replicas are looked at. */
  replicaCheckMs: number
  /** A session that sends nothing for this long ends, its transaction rolled back. */
  idleSessionMs: number
  /** Nobody waits for a statement any more (its client is gone, it was killed, its time is over): a server that has said nothing of it for so long, and does not say either that it is at it, is cut off. */
  abandonedMs: number
  /** A client that takes nothing of its answer for this long is cut off, and the servers' connections that wait for it are free. */
  clientStallMs: number
  /** A prepared branch that nobody ends within this is ended by whichever gate sees it. */
  xaDoubtMs: number
  /** A decided branch is committed before the client is answered, unless its server does not let it within this. */
  xaFinishMs: number
  /** Rows of lookups that nobody needs any more are left after so long. */
  lookupSweepMs: number
  xaCheckMs: number
  /** Transactions on several shards that wait are looked at so often for deadlocks that no server sees (deadlocks.ts); 0: never. */
  deadlockCheckMs: number
  /** What statements wait for together (a table's columns, a block of a sequence) is asked anew, on another connection, when there is no answer for so long. */
  sharedReadMs: number
  /** Prepared statements kept on one server connection. */
  statementsPerConnectionMax: number
}

export const defaultGateConfig: GateConfig = {
  serverVersion: '',
  sessionsMax: 10_000,
  requireTls: false,
  backendConnectionsMax: 100,
  backendIdleMs: 60_000,
  connectTimeoutMs: 3_000,
  poolWaitMs: 20_000,
  holdBytesMax: 64 * 1024 * 1024,
  holdMs: 20_000,
  transactionGraceMs: 500,
  packetBytesMax: 64 * 1024 * 1024,
  scatterBytesMax: 256 * 1024 * 1024,
  heldBytesMax: 512 * 1024 * 1024,
  clientBufferBytesMax: 1024 * 1024,
  slowMs: 1_000,
  queriesEveryMs: 5_000,
  leaseMs: 5_000,
  replicaLagMaxMs: 30_000,
  replicaCheckMs: 500,
  idleSessionMs: 8 * 3600 * 1000,
  abandonedMs: 10_000,
  clientStallMs: 60_000,
  xaDoubtMs: 5_000,
  xaFinishMs: 5_000,
  lookupSweepMs: 10_000,
  xaCheckMs: 1_000,
  deadlockCheckMs: 120,
  sharedReadMs: 30_000,
  statementsPerConnectionMax: 256,
}
