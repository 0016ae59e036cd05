/** How the clauses of a SELECT name what its list has: by its words, by its alias (plain, in quotes of either kind), by its place. */
import type { Dice } from './random.ts'
import { weights } from './weights.ts'

export type Spelt = {
  /** As it stands in the list. */
  readonly item: string
  /** One way to name it elsewhere, another each time. */
  name(): string
}

/** @param place in the list, from 1; null: not known */
export function spelt(sql: string, alias: string, place: number | null, dice: Dice): Spelt {
  const called = dice.chance(weights.spelling.alias)
  const quoted = called ? dice.pick([alias, alias, `\`${alias}\``, `'${alias}'`]) : null
  return {
    item: quoted === null ? sql : `${sql}${dice.chance(0.8) ? ' AS' : ''} ${quoted}`,
    name: () => {
      if (quoted !== null && dice.chance(0.5)) return dice.chance(0.7) ? alias : `\`${alias}\``
      if (place !== null && dice.chance(weights.spelling.place)) return dice.pick([String(place), String(place), `(${place})`, `+${place}`])
      return sql
    },
  }
}
