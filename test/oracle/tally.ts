/** How often something was asked, and what became of it. */
export type Tally = { asked: number; refused: number; bothRefuse: number; wrong: number }

export function judged(tally: Tally): number {
  return tally.asked - tally.bothRefuse
}

export function total(tallies: ReadonlyMap<string, Tally>): Tally {
  const sum: Tally = { asked: 0, refused: 0, bothRefuse: 0, wrong: 0 }
  for (const tally of tallies.values()) for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += tally[key]
  return sum
}

export function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`
}

export function tallyOf(tallies: Map<string, Tally>, name: string): Tally {
  let tally = tallies.get(name)
  if (tally === undefined) tallies.set(name, (tally = { asked: 0, refused: 0, bothRefuse: 0, wrong: 0 }))
  return tally
}
