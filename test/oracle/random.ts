/** Random choices of the oracle: the same seed gives the same statements on every machine. */
import { Random } from '../models/random.ts'

export class Dice extends Random {
  weighted<K extends string>(table: Readonly<Record<K, number>>): K {
    const entries = Object.entries(table) as [K, number][]
    let at = this.unit() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      at -= weight
      if (at < 0) return name
    }
    return (entries[0] as [K, number])[0]
  }

  some<T>(items: readonly T[], count: number): T[] {
    return this.shuffle(items).slice(0, count)
  }
}
