import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutCounter, withoutKeys } from './table-look.ts'

const text = (elements: readonly string[], options = ''): string =>
  `CREATE TABLE \`t\` (\n  ${elements.join(',\n  ')}\n) ENGINE=InnoDB${options}`

test('1.13: the look of a table is without its counter and its secondary keys, and without nothing else', () => {
  const columns = [
    '`id` int NOT NULL AUTO_INCREMENT',
    "`a` int DEFAULT NULL COMMENT 'AUTO_INCREMENT=3'",
    'PRIMARY KEY (`id`)',
    'CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`id`)',
  ]
  const keys = ['KEY `a` (`a`)', 'UNIQUE KEY `b` (`a`,`id`)', 'FULLTEXT KEY `c` (`t`) /*!50100 WITH PARSER `ngram` */ ']
  const [first, second, third, fourth] = columns as [string, string, string, string]
  const whole = text([first, second, third, ...keys, fourth], ' AUTO_INCREMENT=12 DEFAULT CHARSET=utf8mb4')
  assert.equal(withoutCounter(whole), whole.replace(' AUTO_INCREMENT=12', ''))
  assert.equal(withoutKeys(withoutCounter(whole)), text(columns, ' DEFAULT CHARSET=utf8mb4').replaceAll(',\n', '\n'))
  assert.equal(withoutKeys(''), '')
})

test('1.13: names, comments and defaults may hold line ends and what looks like keys', () => {
  // A key that is built meanwhile is not seen, whatever its name.
  const plain = text(['`id` int NOT NULL', 'PRIMARY KEY (`id`)'])
  const built = text([
    '`id` int NOT NULL',
    'PRIMARY KEY (`id`)',
    'KEY `one\n  CHECK` (`id`)',
    "UNIQUE KEY `two` (`id`) COMMENT 'of\n  the,\nshop'",
  ])
  assert.equal(withoutKeys(built), withoutKeys(plain))
  // What is no key is seen.
  for (const [one, other] of [
    ["`a` varchar(90) DEFAULT 'x\n  KEY y'", "`a` varchar(90) DEFAULT 'x\n  KEY z'"],
    ["`a` int COMMENT 'of,\nx'", "`a` int COMMENT 'of\nx'"],
    ['`a\n  KEY b` int', '`a\n  KEY c` int'],
  ] as const)
    assert.notEqual(withoutKeys(text([one])), withoutKeys(text([other])), one)
  const commented = (counter: number, comment: number): string =>
    text(['`id` int'], ` COMMENT='x AUTO_INCREMENT=${comment}' AUTO_INCREMENT=${counter}`)
  assert.notEqual(withoutCounter(commented(1, 3)), withoutCounter(commented(1, 4)))
  const inColumn = (counter: number): string => text(["`id` int COMMENT 'y AUTO_INCREMENT=7'"], ` AUTO_INCREMENT=${counter}`)
  assert.equal(withoutCounter(inColumn(1)), withoutCounter(inColumn(2)))
})
