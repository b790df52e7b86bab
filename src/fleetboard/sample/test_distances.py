"""Tests of the distances, run by ``run_tests.py``."""

from __future__ import annotations

import unittest
from math import isclose

from distances import arrival_s, distance_m, shown  # type: ignore[import-not-found]

BERLIN = (52.52, 13.405)
HAMBURG = (53.55, 9.993)


class Distances(unittest.TestCase):
    """Between two points."""

    def test_to_itself_is_nothing(self) -> None:
        """Nobody travels to where they are."""
        assert distance_m(BERLIN, BERLIN) == 0

    def test_is_the_same_both_ways(self) -> None:
        """There is as far as back."""
        assert isclose(distance_m(BERLIN, HAMBURG), distance_m(HAMBURG, BERLIN))

    def test_is_that_of_the_map(self) -> None:
        """Two towns that are 255 km apart."""
        assert isclose(distance_m(BERLIN, HAMBURG), 255_000, abs_tol=1_000)

    def test_a_degree_of_latitude(self) -> None:
        """A degree is 111 km."""
        assert isclose(distance_m((0, 0), (1, 0)), 111_195, abs_tol=1)

    def test_across_the_date_line(self) -> None:
        """The short way is taken."""
        assert isclose(distance_m((0, 179.5), (0, -179.5)), 111_195, abs_tol=1)


class Arrivals(unittest.TestCase):
    """When a vehicle is there."""

    def test_an_hour(self) -> None:
        """At 60 km/h, 60 km take an hour."""
        assert isclose(arrival_s(60_000, 60), 3600)

    def test_at_once(self) -> None:
        """Nothing to drive takes no time."""
        assert arrival_s(0, 50) == 0

    def test_a_vehicle_that_stands_does_not_arrive(self) -> None:
        """It is refused, not divided by."""
        with self.assertRaises(ValueError):  # noqa: PT027 - it runs without pytest
            arrival_s(100, 0)


class Shown(unittest.TestCase):
    """What the list says."""

    def test_metres(self) -> None:
        """Below a kilometre."""
        assert shown(999.4) == "999 m"

    def test_kilometres(self) -> None:
        """From a kilometre on."""
        assert shown(1000) == "1.0 km"

    def test_decimals(self) -> None:
        """One is enough."""
        assert shown(25_549) == "25.5 km"

    def test_nothing(self) -> None:
        """Zero is a distance."""
        assert shown(0) == "0 m"
