/** What must hold before a dual-write run begins, machine-checked, all of it listed at once (issue 6). */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { allTables } from '../ingest/definition.ts'
import type { Store } from '../topology/store.ts'
import type { Finding, PreconditionRequest } from './dualwrite-world.ts'

export function preconditionsFor(_world: {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
}): (request: PreconditionRequest) => Promise<readonly Finding[]> {
  return async (request) => {
    const findings: Finding[] = []
    for (const { definition } of request.definitions) {
      for (const one of allTables(definition)) {
        if (one.kind === 'dimension' || one.retentionMs !== null) continue
        findings.push({
          check: 'expiry',
          what: `rows of ${one.table} never expire`,
          why: 'what was written before the new branch began would never be in it',
          fix: `give ${one.table} a retention in the definition, or make it a dimension table`,
          blocks: true,
        })
      }
    }
    return findings
  }
}
