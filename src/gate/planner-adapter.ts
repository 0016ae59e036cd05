/** The planner as the gate uses it. */
import type { Lexed } from '../sql/lexer.ts'
import type { Catalog } from './plan/catalog.ts'
import type { Plan } from './plan/plan.ts'
import { gateErrors } from './errors.ts'

export interface StatementPlanner {
  plan(lexed: Lexed, context: { keyspace: string | null }): Plan
}

export function makePlanner(_catalog: Catalog): StatementPlanner {
  return {
    plan() {
      throw gateErrors.notReady({ keyspace: '', reason: 'sharded keyspaces are not routed yet' })
    },
  }
}
