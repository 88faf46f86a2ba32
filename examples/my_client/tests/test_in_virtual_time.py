"""The phone on every kind of NAT that it will meet, for hours, in no time."""

import pytest

from my_client.client import Phone
from my_client.server import Doorbell

NETWORK = "../topologies/phone_at_home.py"
OF_THE_FIELD = ("home-gateway-shortest", "home-gateway-median", "linux-masquerade", "symmetric", "cgn")


@pytest.fixture
def doorbell(callpath):
    """A server that runs, on the network of the test."""
    doorbell = Doorbell()
    callpath.host("server").start_async(doorbell.run)
    return doorbell


@pytest.fixture
def phone(callpath, doorbell):
    """A phone that runs, too; the server has heard of it."""
    phone = Phone("anna")
    callpath.host("phone").start_async(phone.run, callpath.host("server").address)
    assert callpath.wait_until(lambda: "anna" in doorbell.phones)
    return phone


@pytest.mark.callpath(NETWORK)
@pytest.mark.nat_presets("home_nat", presets=OF_THE_FIELD)
def test_a_phone_that_was_idle_is_rung(callpath, doorbell, phone):
    for times in range(1, 61):
        callpath.sleep("59s")
        callpath.host("server").run_async(doorbell.ring, "anna")
        callpath.sleep("1s")
        assert phone.rings == times


@pytest.mark.callpath(NETWORK)
def test_a_reboot_of_the_box_is_healed_by_the_next_hello(callpath, doorbell, phone):
    callpath.reboot_nat("home")
    callpath.sleep("30s")
    callpath.host("server").run_async(doorbell.ring, "anna")
    assert callpath.wait_until(lambda: phone.rings == 1, "1s")


@pytest.mark.callpath(NETWORK)
def test_a_cut_of_the_access_line_is_healed_too(callpath, doorbell, phone):
    callpath.cut("access")
    callpath.sleep("10min")
    callpath.heal("access")
    callpath.sleep("30s")
    callpath.host("server").run_async(doorbell.ring, "anna")
    assert callpath.wait_until(lambda: phone.rings == 1, "1s")
