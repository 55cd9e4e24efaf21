"""A query to an XLSX file in Python, with openpyxl's write-only mode. usage: openpyxl_rows.py DATABASE SQL FILE"""

import sqlite3
import sys
from datetime import date

import openpyxl

database, sql, file = sys.argv[1:]
book = openpyxl.Workbook(write_only=True)
sheet = book.create_sheet("results")
cursor = sqlite3.connect(database).execute(sql)
names = [column[0] for column in cursor.description]
day = names.index("day")
sheet.append(names)
for row in cursor:
    cells = list(row)
    cells[day] = date.fromisoformat(cells[day])
    sheet.append(cells)
book.save(file)
