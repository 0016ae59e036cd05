/** Every key of the topology, in one place. Names never contain '/'. */
export const keys = {
  installation: 'installation',
  server: (id: string) => `servers/${id}`,
  servers: 'servers/',
  /** Passwords of our own accounts on a server: readable by our processes only. */
  secret: (serverId: string) => `secrets/${serverId}`,
  /** Passwords that a creation was given, by server; gone once its servers are attached, or it failed. */
  creationSecret: (workflowUid: string) => `creation-secrets/${workflowUid}`,
  keyspace: (name: string) => `keyspaces/${name}`,
  keyspaces: 'keyspaces/',
  shard: (keyspace: string, shard: string) => `shards/${keyspace}/${shard}`,
  shards: (keyspace: string) => `shards/${keyspace}/`,
  allShards: 'shards/',
  vschema: (keyspace: string) => `vschema/${keyspace}`,
  vschemas: 'vschema/',
  /** Written anew after each DDL through a gate, so that the others read columns anew: its version counts. */
  ddl: (keyspace: string) => `ddl/${keyspace}`,
  ddls: 'ddl/',
  /** The one record that decides who serves (PROTOCOLS 3). */
  routing: (keyspace: string) => `routing/${keyspace}`,
  routings: 'routing/',
  /** Accounts that clients use at the gate. */
  user: (name: string) => `users/${name}`,
  users: 'users/',
  /** A live gate (under its lease): what it has seen and acknowledged. */
  gate: (id: string) => `gates/${id}`,
  gates: 'gates/',
  /** Whose sessions have the numbers of this slot (under its lease). */
  gateThreads: (slot: number) => `gate-threads/${slot}`,
  /** What another gate asks a gate to KILL (under the asking one's lease). */
  kill: (gate: string, request: string) => `kills/${gate}/${request}`,
  killsOf: (gate: string) => `kills/${gate}/`,
  /** Of a gate, what waits there for long (under its lease). */
  stuck: (gate: string) => `stuck/${gate}`,
  allStuck: 'stuck/',
  /** That a gate is to be restarted, and how far that is; outlives the gate. */
  gateRestart: (gate: string) => `gate-restarts/${gate}`,
  gateRestarts: 'gate-restarts/',
  gateStats: (id: string) => `gate-stats/${id}`,
  allGateStats: 'gate-stats/',
  /** What its statements were, by shape. */
  gateQueries: (id: string) => `gate-queries/${id}`,
  allGateQueries: 'gate-queries/',
  /** What is wanted of a stream: written by control. */
  stream: (workflowUid: string, streamUid: string) => `streams/${workflowUid}/${streamUid}`,
  streamsOf: (workflowUid: string) => `streams/${workflowUid}/`,
  streams: 'streams/',
  /** What its copy may cost the servers. */
  pace: (workflowUid: string) => `paces/${workflowUid}`,
  paces: 'paces/',
  /** What a mover reports of a stream. */
  report: (workflowUid: string, streamUid: string) => `reports/${workflowUid}/${streamUid}`,
  reportsOf: (workflowUid: string) => `reports/${workflowUid}/`,
  reports: 'reports/',
  /** Which mover runs a workflow's streams (under its lease). */
  streamOwner: (workflowUid: string) => `stream-owners/${workflowUid}`,
  streamOwners: 'stream-owners/',
  mover: (id: string) => `movers/${id}`,
  movers: 'movers/',
  vdiff: (workflowUid: string, vdiffUid: string) => `vdiffs/${workflowUid}/${vdiffUid}`,
  vdiffsOf: (workflowUid: string) => `vdiffs/${workflowUid}/`,
  vdiffs: 'vdiffs/',
  vdiffReport: (workflowUid: string, vdiffUid: string) => `vdiff-reports/${workflowUid}/${vdiffUid}`,
  vdiffReportsOf: (workflowUid: string) => `vdiff-reports/${workflowUid}/`,
  vdiffReports: 'vdiff-reports/',
  workflow: (keyspace: string, name: string) => `workflows/${keyspace}/${name}`,
  workflowsOf: (keyspace: string) => `workflows/${keyspace}/`,
  workflows: 'workflows/',
  /** Requests to a workflow and their outcomes, by idempotency key (promise 13). */
  action: (workflowUid: string, actionId: string) => `actions/${workflowUid}/${actionId}`,
  actionsOf: (workflowUid: string) => `actions/${workflowUid}/`,
  actions: 'actions/',
  /** Consumers of a branch: `insights`, `insights@wide`, `insights@wide+slow`. */
  fleet: (name: string) => `fleets/${name}`,
  fleets: 'fleets/',
  fleetReport: (fleet: string, consumer: string) => `fleet-reports/${fleet}/${consumer}`,
  fleetReportsOf: (fleet: string) => `fleet-reports/${fleet}/`,
  fleetReports: 'fleet-reports/',
  /** A live consumer (under its lease): so that partitions are dealt out among those that are there. */
  consumer: (fleet: string, consumer: string) => `consumers/${fleet}/${consumer}`,
  consumersOf: (fleet: string) => `consumers/${fleet}/`,
  consumers: 'consumers/',
  partitionLease: (fleet: string, partition: number) => `ingest/${fleet}/${partition}`,
  partitionLeasesOf: (fleet: string) => `ingest/${fleet}/`,
  /** Outlives the lease: every acquisition adds 1. */
  partitionEpoch: (fleet: string, partition: number) => `ingest-epochs/${fleet}/${partition}`,
  partitionEpochsOf: (fleet: string) => `ingest-epochs/${fleet}/`,
  /** Of a branch's fleets that have a name of their own. */
  partitionEpochsOfNamed: (branchKeyspace: string) => `ingest-epochs/${branchKeyspace}+`,
  /** Where the purge of a keyspace's expiring tables stands, of all its branches alike. */
  purge: (keyspace: string) => `purge/${keyspace}`,
  /** Which branch serves a keyspace's reads; a gate acknowledges it under `seen[reads(keyspace)]`. */
  reads: (keyspace: string) => `reads/${keyspace}`,
  allReads: 'reads/',
  readSamples: (keyspace: string, gate: string) => `read-samples/${keyspace}/${gate}`,
  readSamplesOf: (keyspace: string) => `read-samples/${keyspace}/`,
  gateReads: (gate: string) => `gate-reads/${gate}`,
  allGateReads: 'gate-reads/',
  evidence: (workflowUid: string, rung: string) => `evidence/${workflowUid}/${rung}`,
  evidenceOf: (workflowUid: string) => `evidence/${workflowUid}/`,
  allEvidence: 'evidence/',
  /** What was done to a workflow, entry by entry, in the order of time; kept when it has ended. */
  audit: (keyspace: string, workflow: string, entry: string) => `audit/${keyspace}/${workflow}/${entry}`,
  audits: 'audit/',
  auditOf: (keyspace: string, workflow: string) => `audit/${keyspace}/${workflow}/`,
  /** Triggers and events that stand on whichever side of a workflow serves. */
  switchObjects: (workflowUid: string) => `switch-objects/${workflowUid}`,
  allSwitchObjects: 'switch-objects/',
  /** A shard whose primary is being changed. */
  primaryChange: (keyspace: string, shard: string) => `primary-changes/${keyspace}/${shard}`,
  primaryChanges: 'primary-changes/',
  givenUp: (serverId: string) => `given-up/${serverId}`,
  allGivenUp: 'given-up/',
  retentionOwed: (serverId: string) => `retention-owed/${serverId}`,
  allRetentionOwed: 'retention-owed/',
  /** Of what the topology does not name any more, by the keyspace that it was of: what still stands on servers. */
  removal: (name: string) => `removals/${name}`,
  removals: 'removals/',
  /** Whoever does it just now, by its lease. */
  removing: (name: string) => `removing/${name}`,
  leader: 'leader/control',
  /** Grows with every acquisition of the leader's lease; outlives the lease. */
  leaderToken: 'leader-token/control',
} as const
