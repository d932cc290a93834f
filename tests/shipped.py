"""The dimensions of the families that are shipped, and the columns that they need."""

from functions.common.dimensions import combine, parse_dimension

SHIPPED = combine([parse_dimension("total_orders"), parse_dimension("days_since(last_order_ts)")])
COLUMNS = list(SHIPPED.columns)
