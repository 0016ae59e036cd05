/** MySQL's operators by how tightly they bind, and functions of unusual form. */
// Binding powers, loosest first: OR, XOR, AND, NOT, comparison, |, &, shifts, + -, * / DIV MOD, ^.
export const notPower = 4
export const comparePower = 5
export const bitPower = 6

export const powers: Readonly<Record<string, number>> = {
  OR: 1,
  '||': 1,
  XOR: 2,
  AND: 3,
  '&&': 3,
  '=': comparePower,
  '<=>': comparePower,
  '>=': comparePower,
  '>': comparePower,
  '<=': comparePower,
  '<': comparePower,
  '<>': comparePower,
  '!=': comparePower,
  IS: comparePower,
  LIKE: comparePower,
  REGEXP: comparePower,
  RLIKE: comparePower,
  IN: comparePower,
  BETWEEN: comparePower,
  NOT: comparePower,
  SOUNDS: comparePower,
  MEMBER: comparePower,
  '|': bitPower,
  '&': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
  DIV: 10,
  MOD: 10,
  '^': 11,
}
/** Of `||` where it joins text. */
export const concatPower = 12
export const bareFunctions = new Set([
  'CURRENT_TIMESTAMP',
  'CURRENT_DATE',
  'CURRENT_TIME',
  'CURRENT_USER',
  'LOCALTIME',
  'LOCALTIMESTAMP',
  'UTC_DATE',
  'UTC_TIME',
  'UTC_TIMESTAMP',
])
/** Functions whose first argument is a keyword: a unit of time or a kind of format. */
export const unitFunctions = new Set(['TIMESTAMPADD', 'TIMESTAMPDIFF', 'GET_FORMAT'])
