"""Records of json_schema from templates: fields by their names and kinds, and values as people write them. Light."""

import random
from collections.abc import Mapping
from typing import Any

UNKNOWN = "unknown"
MONTHS = "January February March April May June July August September October November December".split()

FIELDS: dict[str, dict[str, Any]] = {
    "order_number": {"type": "string"},
    "customer_name": {"type": "string"},
    "item_count": {"type": "integer"},
    "total_price": {"type": "number"},
    "is_paid": {"type": "boolean"},
    "ordered_on": {"type": "string", "format": "date"},
    "delivered_on": {"type": "string", "format": "date"},
    "shipping_speed": {"type": "string", "enum": ["standard", "express", "overnight"]},
    "colors": {"type": "array", "items": {"type": "string"}},
    "tags": {"type": "array", "items": {"type": "string"}},
    "weight_grams": {"type": "integer"},
    "discount_rate": {"type": "number"},
    "gift_wrapped": {"type": "boolean"},
    "status": {"type": "string", "enum": ["open", "packed", "shipped", "returned"]},
    "warehouse_city": {"type": "string"},
    "stock_level": {"type": "integer"},
}
INNER: dict[str, dict[str, Any]] = {
    "street": {"type": "string"},
    "house_number": {"type": "integer"},
    "city": {"type": "string"},
    "valid_until": {"type": "string", "format": "date"},
}
NESTS = ("billing_address", "pickup_point", "return_address")
NOTES = ("note", "coupon_code", "carrier")
FIRST = "Ana Ben Chloe Dario Emre Farah Goran Hana Ivo Jun Kira Liam Mona Nadia Omar Priya".split()
LAST = "Abe Brandt Castro Dahl Egger Fontaine Gupta Hart Ito Jensen Kaya Lindqvist Moreau Novak".split()
WORDS = "red blue green amber silver teal small large fragile heavy frozen organic new spare limited seasonal".split()
PLACES = "Oslo Lagos Quito Hanoi Porto Graz Cork Lyon Perth Izmir Turku Leeds Bergen Kyoto".split()


def value_of(rng: random.Random, name: str, kind: Mapping[str, Any]) -> str:
    """A value for the field `name`, as people write it."""
    match kind:
        case {"enum": values}:
            return str(rng.choice(values)).title()
        case {"format": "date"}:
            return f"{rng.randint(1, 28)} {rng.choice(MONTHS)} {rng.randint(2019, 2029)}"
        case {"type": "integer"}:
            return f"{rng.choice((rng.randint(1, 99), rng.randint(1000, 250_000))):,}"
        case {"type": "number"}:
            return f"{rng.randint(1, 99_999) / 100:.2f}"
        case {"type": "boolean"}:
            return rng.choice(("yes", "no"))
        case {"type": "array"}:
            return "; ".join(rng.sample(WORDS, rng.randint(2, 4)))
        case {"type": ["string", "null"]}:
            return rng.choice((UNKNOWN, " ".join(rng.sample(WORDS, 2))))
    if "number" in name:
        return f"{rng.choice('ABCDEFGH')}-{rng.randint(0, 99_999):05d}"
    if "city" in name:
        return rng.choice(PLACES)
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"
