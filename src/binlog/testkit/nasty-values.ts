/** Column types and values that have hurt somebody, as SQL. */
import type { FlavourName } from '../../mysql/connection.ts'

export type TypeCase = { readonly type: string; readonly values: readonly string[]; readonly only?: FlavourName }

const big = (bytes: number): string => `REPEAT('x', ${bytes})`
const times = ["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'", "'12:34:56.987654'", "'-12:34:56.000001'", "'-00:00:00.500000'", "'100:00:00.1'"]
const datetimes = [
  "'0000-00-00 00:00:00'",
  "'1000-01-01 00:00:00'",
  "'9999-12-31 23:59:59.499999'",
  "'2024-02-30 01:02:03'",
  "'2024-00-00 00:00:00'",
  "'2023-12-31 23:59:59.123456'",
]
const timestamps = ["'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2000-02-29 12:00:00.987654'", "'2023-03-26 02:30:00.000001'"]
const texts = ["''", "' '", "'a  '", "'  a'", "'quote '' \\\\ back'", "0x00", "0x610062", "'\\t\\n\\r'"]
const decimals = (max: string): string[] => ['0', '-0', max, `-${max}`, '1', '-1', '0.5', '-0.000000001', '123456789', '1000000000']
const doubles = [
  '0', '-0e0', '1', '-1', '0.1', '1e15', '1e16', '123456789012345678', '1.5e20', '1e-4', '1e-5', '1.2345e-14', '1.2345e-15', '1e-15', '5e-324', '2.2250738585072014e-308',
  '1.7976931348623157e308', '-1.7976931348623157e308', '0.3333333333333333', '9007199254740993', '4503599627370497.5', '100000', '123456.789', '1e22', '1e21', '0.000123', '999999999999999',
  '9999999999999998', '0.00000000000001234567890123456789', '-0.000001', '33333333333333.336',
]
const floats = ['0', '-0e0', '1', '-1', '0.1', '1e10', '16777217', '3.402823466e38', '-3.402823466e38', '1.175494351e-38', '1e-45', '0.333333333', '1e15', '1e16', '123456789', '0.000012345']

const integers = (type: string, bits: number): TypeCase[] => {
  const half = 2n ** BigInt(bits - 1)
  return [
    { type, values: ['0', '1', '-1', '9', '10', '-10', '99', '100', String(half - 1n), String(-half), String(-half + 1n)] },
    { type: `${type} UNSIGNED`, values: ['0', '1', '9', '10', '99', '100', String(half - 1n), String(half), String(2n * half - 1n)] },
    { type: `${type} ZEROFILL`, values: ['0', '7', String(2n * half - 1n)] },
  ]
}

const jsons = [
  "'{}'", "'[]'", "'null'", "'true'", "'false'", "'0'", "'-1'", "'1.0'", "'-0.0'", "'1e20'", "'1e-7'", "'0.1'", "'1.7976931348623157e308'", "'32767'", "'32768'", "'-32769'", "'65536'", "'2147483648'", "'-2147483649'",
  "'9223372036854775807'", "'-9223372036854775808'", "'18446744073709551615'", "'18446744073709551616'", "'\"\"'", "'\"a\\\\\"b\\\\\\\\c\\\\n\\\\t\\\\u0001\\\\b\\\\f\\\\r/\"'",
  "'{\"b\": 1, \"a\": [1, 2, {\"c\": null}], \"aa\": \"x\", \"\": 0}'", "'[[[[[[1]]]]]]'", "'{\"k\": 3000000000, \"l\": [true, false, null, 1.25]}'", "'\"äöü€😀\"'", "'[9007199254740993, 12345678901234567890]'",
]
const jsonExpressions = [
  "JSON_ARRAY(CAST('12.340' AS DECIMAL(10,3)), CAST('-0.5' AS DECIMAL(3,1)))", "JSON_ARRAY(CAST('2020-01-02' AS DATE), CAST('-12:00:01.5' AS TIME(1)), CAST('2020-01-02 03:04:05.678' AS DATETIME(3)))",
  "JSON_ARRAY(TIMESTAMP'2020-01-02 03:04:05')", "JSON_OBJECT('b', CAST('abc' AS BINARY), 'c', b'101')", "JSON_ARRAY(CAST(REPEAT('z', 200) AS BINARY))",
  "CAST(CONCAT('[\"', REPEAT('y', 70000), '\", 1, 70000, -70000, 4294967295]') AS JSON)", "JSON_OBJECT('k', REPEAT('w', 200), 'm', CAST(CONCAT('{\"', REPEAT('n', 300), '\": 65535}') AS JSON))",
  "CAST(CONCAT('[', REPEAT('1,', 40000), '2]') AS JSON)", "JSON_ARRAY(18446744073709551615, -9223372036854775808)", "JSON_ARRAY(CAST('-838:59:59' AS TIME), CAST('0000-00-00' AS DATE))", "JSON_ARRAY(ST_GeomFromText('POINT(1 2)'))", "JSON_ARRAY(CAST(2020 AS YEAR))",
]

export const typeCases: readonly TypeCase[] = [
  ...integers('TINYINT', 8),
  ...integers('SMALLINT', 16),
  ...integers('MEDIUMINT', 24),
  ...integers('INT', 32),
  ...integers('BIGINT', 64),
  { type: 'BIGINT', values: ['4294967295', '4294967296', '-4294967296', '999999999', '1000000000', '999999999999999999', '1000000000000000000', '9007199254740993', '-9007199254740993'] },
  { type: 'DECIMAL(1,0)', values: decimals('9') },
  { type: 'DECIMAL(5,5)', values: ['0', '0.99999', '-0.99999', '-0.00001', '0.1'] },
  { type: 'DECIMAL(9,0)', values: decimals('999999999') },
  { type: 'DECIMAL(10,2)', values: decimals('99999999.99') },
  { type: 'DECIMAL(10,2) ZEROFILL', values: ['0', '1.5', '99999999.99'] },
  { type: 'DECIMAL(10,2) UNSIGNED', values: ['0', '1.5', '99999999.99'] },
  { type: 'DECIMAL(18,9)', values: decimals('999999999.999999999') },
  { type: 'DECIMAL(65,30)', values: decimals(`${'9'.repeat(35)}.${'9'.repeat(30)}`) },
  { type: 'DECIMAL(65,0)', values: decimals('9'.repeat(65)) },
  { type: 'DECIMAL(38,38)', values: ['0', `0.${'9'.repeat(38)}`, '-0.00000000000000000000000000000000000001'], only: 'mariadb' },
  { type: 'FLOAT', values: floats },
  { type: 'FLOAT(7,3)', values: ['0', '1.2345', '-9999.999', '0.001'] },
  { type: 'DOUBLE', values: doubles },
  { type: 'DOUBLE(20,4)', values: ['0', '1.23456', '-9999999999999.9999', '0.0001'] },
  { type: 'FLOAT UNSIGNED', values: ['0', '0.1', '3.4e38'] },
  { type: 'BIT(1)', values: ["b'0'", "b'1'"] },
  { type: 'BIT(7)', values: ["b'0'", "b'1111111'"] },
  { type: 'BIT(8)', values: ["b'0'", "b'11111111'"] },
  { type: 'BIT(17)', values: ["b'0'", "b'10000000000000001'"] },
  { type: 'BIT(64)', values: ["b'0'", '18446744073709551615'] },
  { type: 'YEAR', values: ['0', "'1901'", "'2155'", "'2000'"] },
  { type: 'DATE', values: ["'0000-00-00'", "'1000-01-01'", "'9999-12-31'", "'2024-02-30'", "'2024-00-00'", "'1970-01-01'"] },
  ...[0, 1, 2, 3, 4, 5, 6].flatMap((decimals) => [
    { type: `TIME(${decimals})`, values: times },
    { type: `DATETIME(${decimals})`, values: datetimes },
    { type: `TIMESTAMP(${decimals}) NULL`, values: timestamps },
  ]),
  { type: 'CHAR(10) CHARACTER SET latin1', values: [...texts, '0xE4F6FC'] },
  { type: 'CHAR(10) CHARACTER SET utf8mb4', values: [...texts, "'äöü€😀'"] },
  { type: 'CHAR(255) CHARACTER SET utf8mb4', values: ["''", "REPEAT('€', 255)", "REPEAT('😀', 255)", "'a'"] },
  { type: 'CHAR(10) CHARACTER SET ucs2', values: ["''", "'abc'", "'€'"] },
  { type: 'CHAR(10) CHARACTER SET utf16', values: ["''", "'abc '", "'😀'"] },
  { type: 'CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin', values: texts },
  { type: 'CHAR(0)', values: ["''"] },
  { type: 'BINARY(1)', values: ["''", '0x00', '0x20', '0xff'] },
  { type: 'BINARY(4)', values: ["''", '0x00', '0x61000000', '0x61002000', '0x20202020', '0x00000001', '0xffffffff'] },
  { type: 'BINARY(16)', values: ["''", '0x00112233445566778899aabbccddee00', "UNHEX(REPEAT('00', 16))"] },
  { type: 'BINARY(255)', values: ["''", "'a'", "REPEAT('b', 255)"] },
  { type: 'VARCHAR(10) CHARACTER SET latin1', values: [...texts, '0xE4F6FC'] },
  { type: 'VARCHAR(63) CHARACTER SET utf8mb4', values: [...texts, "REPEAT('😀', 63)"] },
  { type: 'VARCHAR(64) CHARACTER SET utf8mb4', values: ["''", "REPEAT('😀', 64)"] },
  { type: 'VARCHAR(300) CHARACTER SET ascii', values: ["''", big(255), big(256), big(300)] },
  { type: 'VARBINARY(10)', values: ["''", '0x00', '0x6100', '0x2020', '0x0020'] },
  { type: 'VARBINARY(3000)', values: ["''", big(255), big(256), big(3000)] },
  { type: 'TINYBLOB', values: ["''", '0x00', big(255)] },
  { type: 'BLOB', values: ["''", big(256), big(65535)] },
  { type: 'MEDIUMBLOB', values: ["''", big(65536)] },
  { type: 'LONGBLOB', values: ["''", '0x00ff', big(200_000)] },
  { type: 'TINYTEXT CHARACTER SET utf8mb4', values: ["''", "'a  '", "'€'"] },
  { type: 'TEXT CHARACTER SET latin1', values: ["''", '0xE4F6FC', big(300)] },
  { type: 'MEDIUMTEXT CHARACTER SET utf8mb3', values: ["''", "'€'", big(65536)] },
  { type: 'LONGTEXT CHARACTER SET utf8mb4', values: ["''", "'😀'", big(100_000)] },
  { type: "ENUM('a','b','ü')", values: ["'a'", "'b'", "'ü'", '0'] },
  { type: `ENUM(${Array.from({ length: 300 }, (_, i) => `'m${i}'`).join(',')})`, values: ["'m0'", "'m254'", "'m255'", "'m299'"] },
  { type: "SET('a','b','c')", values: ["''", "'a'", "'a,c'", "'a,b,c'"] },
  { type: `SET(${Array.from({ length: 9 }, (_, i) => `'s${i}'`).join(',')})`, values: ["''", "'s8'", "'s0,s8'"] },
  { type: `SET(${Array.from({ length: 20 }, (_, i) => `'s${i}'`).join(',')})`, values: ["''", "'s19'"] },
  { type: `SET(${Array.from({ length: 64 }, (_, i) => `'s${i}'`).join(',')})`, values: ["''", "'s63'", '18446744073709551615', "'s31,s32'"] },
  { type: 'GEOMETRY', values: ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0,1 1,2 2)', 4326)"] },
  { type: 'POINT', values: ["ST_GeomFromText('POINT(-1.5 2)')"] },
  { type: 'JSON', values: jsons },
  { type: 'JSON', values: jsonExpressions, only: 'mysql' },
  { type: 'VECTOR(3)', values: ["TO_VECTOR('[1,2.5,-3]')", "TO_VECTOR('[0,0,0]')"], only: 'mysql' },
  {
    type: 'UUID',
    values: [
      "'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'018f4e6e-1234-7abc-8def-0123456789ab'", "'018f4e6e-1234-7abc-8def-012345678900'",
      "'f47ac10b-58cc-4372-a567-0e02b2c3d479'", "'00000000-0000-4000-8000-000000000000'", "'12345678-1234-0234-8234-123456789abc'", "'12345678-1234-8234-9234-123456789abc'", "'12345678-8234-8234-9234-123456789abc'",
      "'12345678-1234-5234-0234-123456789abc'", "'12345678-1234-f234-7234-123456789abc'", "'12345678-1234-5234-ffff-123456789abc'",
    ],
    only: 'mariadb',
  },
  {
    type: 'INET6',
    values: ["'::'", "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.1'", "'::192.0.2.1'", "'fe80::'", "'1:0:0:2:0:0:0:3'", "'1:2:3:4:5:6:7:8'", "'0:0:1::'", "'::1:0'", "'1:0:2:0:3:0:4:0'", "'::ffff'", "'0:0:0:0:ffff:1:2:3'", "'::ffff:0:1'", "'::1:2'"],
    only: 'mariadb',
  },
  { type: 'INET4', values: ["'0.0.0.0'", "'255.255.255.255'", "'10.0.0.1'", "'1.2.3.0'"], only: 'mariadb' },
  { type: 'VARCHAR(300) COMPRESSED CHARACTER SET utf8mb4', values: ["''", "'a'", "REPEAT('äb', 150)"], only: 'mariadb' },
  { type: 'VARBINARY(200) COMPRESSED', values: ["''", '0x00', big(200)], only: 'mariadb' },
  { type: 'BLOB COMPRESSED', values: ["''", '0x00', big(60_000)], only: 'mariadb' },
  { type: 'LONGTEXT COMPRESSED CHARACTER SET latin1', values: ["''", "'a'", big(100_000)], only: 'mariadb' },
]
