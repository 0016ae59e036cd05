// go-sql-driver/mysql: every case as text (interpolated by the driver) and prepared.
package main

import (
	"context"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

type config struct {
	Host, User, Password, Database, Cases string
	Port                                  int
	TLS                                   *string
}

type param struct {
	T      string
	V      string
	Repeat int
}

type testCase struct {
	ID, SQL  string
	Params   []param
	Prepared bool
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func read(path string, into any) {
	if err := json.Unmarshal(must(os.ReadFile(path)), into); err != nil {
		panic(err)
	}
}

func (p param) value() any {
	text := strings.Repeat(p.V, max(p.Repeat, 1))
	switch p.T {
	case "null":
		return nil
	case "int":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		return must(strconv.ParseUint(text, 10, 64))
	case "double":
		return must(strconv.ParseFloat(text, 64))
	case "bytes":
		return must(hex.DecodeString(text))
	case "bool":
		return text == "true"
	}
	return text
}

func short(text string) string {
	if len(text) <= 200 {
		return text
	}
	return fmt.Sprintf("%d %x", len(text), md5.Sum([]byte(text)))
}

func cell(value any) any {
	switch v := value.(type) {
	case nil:
		return nil
	case []byte:
		return "bytes " + short(hex.EncodeToString(v))
	}
	return fmt.Sprintf("%T %s", value, short(fmt.Sprint(value)))
}

func failed(err error) map[string]any {
	var known *mysql.MySQLError
	if errors.As(err, &known) {
		return map[string]any{"errno": known.Number, "sqlState": string(known.SQLState[:])}
	}
	return map[string]any{"failed": err.Error()}
}

func isQuery(statement string) bool {
	fields := strings.Fields(strings.ToUpper(strings.TrimLeft(statement, "/* ap")))
	switch fields[0] {
	case "SELECT", "SELEKT", "SHOW", "DESCRIBE", "EXPLAIN", "WITH":
		return true
	}
	return strings.HasPrefix(statement, "/*")
}

func query(rows *sql.Rows, err error) map[string]any {
	if err != nil {
		return failed(err)
	}
	defer rows.Close()
	types, columns := must(rows.ColumnTypes()), []any{}
	for _, one := range types {
		nullable, known := one.Nullable()
		length, _ := one.Length()
		precision, scale, _ := one.DecimalSize()
		columns = append(columns, fmt.Sprint(one.Name(), one.DatabaseTypeName(), one.ScanType(), nullable, known, length, precision, scale))
	}
	all := [][]any{}
	for rows.Next() {
		values, places := make([]any, len(types)), make([]any, len(types))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return failed(err)
		}
		cells := []any{}
		for _, value := range values {
			cells = append(cells, cell(value))
		}
		all = append(all, cells)
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return map[string]any{"columns": columns, "rows": all}
}

func execute(result sql.Result, err error) map[string]any {
	if err != nil {
		return failed(err)
	}
	return map[string]any{"affected": must(result.RowsAffected()), "insertId": must(result.LastInsertId())}
}

func main() {
	var c config
	var cases []testCase
	read(os.Args[1], &c)
	read(c.Cases, &cases)
	secure := "false"
	if c.TLS != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(must(os.ReadFile(*c.TLS)))
		must(0, mysql.RegisterTLSConfig("ours", &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}))
		secure = "ours"
	}
	ctx := context.Background()
	place := fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?tls=%s&interpolateParams=true", c.User, c.Password, c.Host, c.Port, c.Database, secure)
	db := must(sql.Open("mysql", place))
	conn := must(db.Conn(ctx))
	out := json.NewEncoder(os.Stdout)
	for _, one := range cases {
		values := []any{}
		for _, p := range one.Params {
			values = append(values, p.value())
		}
		forms := []string{"text"}
		if one.Params != nil || one.Prepared {
			forms = append(forms, "prepared")
		}
		for _, form := range forms {
			var outcome map[string]any
			if form == "text" {
				if isQuery(one.SQL) {
					outcome = query(conn.QueryContext(ctx, one.SQL, values...))
				} else {
					outcome = execute(conn.ExecContext(ctx, one.SQL, values...))
				}
			} else if statement, err := conn.PrepareContext(ctx, one.SQL); err != nil {
				outcome = failed(err)
			} else {
				if isQuery(one.SQL) {
					outcome = query(statement.QueryContext(ctx, values...))
				} else {
					outcome = execute(statement.ExecContext(ctx, values...))
				}
				statement.Close()
			}
			outcome["id"], outcome["form"] = one.ID, form
			must(0, out.Encode(outcome))
		}
	}
	conn.Close()
	db.Close()
}
