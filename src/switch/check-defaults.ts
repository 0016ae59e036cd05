/**
 * What sessions have by default on the servers of both sides. Who sets none of it has the other side's from the moment of the switch: what changes the rows that are stored,
 * seen or locked refuses it, unless it is allowed by the variable's name; the rest is told, and all of it on a way back, which nothing of the kind may delay (promise 5).
 */
import type { Connection } from '../mysql/connection.ts'
import { differingDefaults, readSessionDefaults, type SessionDefaults } from '../mysql/session-defaults.ts'
import type { SwitchLimits } from './context.ts'
import type { Preflight } from './effects.ts'
import { switchErrors } from './errors.ts'
import type { Side, SwitchPlan } from './plan.ts'

/** By servers' ids. One that could not be asked is told of as such. */
export type DefaultsSeen = Map<string, SessionDefaults>

export async function seeDefaults(connection: Connection, serverId: string, seen: DefaultsSeen): Promise<Preflight> {
  seen.set(serverId, await readSessionDefaults(connection))
  return { blockers: [], notes: [] }
}

/** Before anything is made: all of it is told, and what a switch will be refused for, as such. */
export function defaultsNotes(from: ReadonlyMap<string, SessionDefaults>, to: ReadonlyMap<string, SessionDefaults>): string[] {
  return differingDefaults(from, to).map(
    ({ variable, values, harm }) =>
      note(variable, values) + (harm === null ? '' : `; a switch is refused until it is alike, or allowed: ${harm}`),
  )
}

function note(variable: string, values: string): string {
  return `sessions have another ${variable} by default on the other side: ${values}`
}

export function defaultsFindings(
  plan: Pick<SwitchPlan, 'from' | 'to'>,
  seen: DefaultsSeen,
  { replicas }: Pick<SwitchLimits, 'replicas'>,
  allowDifferences: readonly string[],
): Preflight {
  const of = ({ serverIds }: Side): DefaultsSeen => new Map([...seen].filter(([id]) => serverIds.includes(id)))
  const differing = differingDefaults(of(plan.from), of(plan.to))
  const wayBack = replicas === 'told'
  const refused = differing.filter(({ variable, harm }) => harm !== null && !wayBack && !allowDifferences.includes(variable))
  return {
    blockers: refused.map((one) => switchErrors.defaultsDiffer(one)),
    notes: differing
      .filter((one) => !refused.includes(one))
      .map(({ variable, values }) => note(variable, values) + (allowDifferences.includes(variable) ? ' (allowed by name)' : '')),
  }
}
