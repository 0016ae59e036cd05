/** Columns of one table as all sides have them, so that equal values print alike on each. */
import type { ColumnDefinition } from '../binlog/source.ts'
import { isLarge, type ComparedColumn, type SideColumn } from './row-text.ts'

/**
 * NULL marks where any side allows NULL, one charset where they differ, times with the digits of the side that has most, and a digest in place of the value where any side's may be
 * large: a target's column may be wider than the source's.
 *
 * @param sides the same columns in the same order; undefined where a side lacks one
 */
export function sideColumnsOf(sides: readonly (readonly (ComparedColumn | undefined)[])[]): SideColumn[][] {
  return sides.map((side) =>
    side.flatMap((definition, i): SideColumn[] => {
      if (definition === undefined) return []
      const all = sides.map((other) => other[i])
      const digits = fractionDigits(all)
      return [
        {
          definition,
          nullable: all.some((other) => other?.nullable === true),
          wide: definition.charset !== null && all.some((other) => other?.charset !== definition.charset),
          digested: all.some((other) => other !== undefined && isLarge(other)),
          ...(digits === null ? {} : { fractionDigits: digits }),
        },
      ]
    }),
  )
}

const times = new Set(['time', 'datetime', 'timestamp'])

/** Of a column of times that not all sides hold with one precision; null: they do, or it is none. */
function fractionDigits(all: readonly (ColumnDefinition | undefined)[]): number | null {
  const found = all.flatMap((column) => (column !== undefined && times.has(column.dataType) ? [digitsOf(column)] : []))
  return new Set(found).size < 2 ? null : Math.max(...found)
}

export function digitsOf({ columnType }: ColumnDefinition): number {
  return Number(/\((\d)\)/.exec(columnType)?.[1] ?? 0)
}
