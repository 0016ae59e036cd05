/**
 * Names of user variables that are one to MySQL and two to MariaDB (tried on both): MySQL compares them without accents and without spaces at their end, as utf8mb3_general_ci does. The gate tells
 * them apart as MariaDB does, and so must not have two of them. Pure.
 */
import { planErrors } from './plan/errors.ts'

/** Errors: SW-GATE-100 where one of the others is the same variable to MySQL. @param name in lower case, as the others are */
export function refuseOtherSpelling(name: string, others: Iterable<string>): void {
  const own = isPlain(name) ? name : folded(name)
  for (const other of others) {
    if (other === name || (own === name && isPlain(other)) || folded(other) !== own) continue
    throw planErrors.refused({
      construct: `@${name} beside @${other}`,
      reason: 'to MySQL they are one variable, to MariaDB two',
      instead: 'use names that differ in more than accents and spaces',
    })
  }
}

function isPlain(name: string): boolean {
  return /^[\x21-\x7e]*$/.test(name)
}

function folded(name: string): string {
  return name.normalize('NFD').replace(/\p{M}/gu, '').replaceAll('ß', 's').toUpperCase().toLowerCase().replace(/ +$/, '')
}
