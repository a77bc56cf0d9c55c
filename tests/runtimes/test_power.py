"""A board's meters, read from files as the kernel's drivers lay them out."""

import time

import pytest

from edgewright.runtimes._measuring.power import Power, energy, power

ORIN = {
    "in1_label": "VDD_IN", "in1_input": "4960", "curr1_input": "1232",
    "in2_label": "VDD_CPU_GPU_CV", "in2_input": "4960", "curr2_input": "320",
    "in3_label": "VDD_SOC", "in3_input": "4952", "curr3_input": "296",
    "in7_label": "sum of shunt voltages", "in7_input": "2",
}  # fmt: skip
BATTERY = {"type": "Battery", "status": "Discharging", "voltage_now": "3950000", "current_now": "-412000"}


def lay(root, folder, files):
    (root / folder).mkdir(parents=True)
    for name, text in files.items():
        (root / folder / name).write_text(f"{text}\n")


def sensor(root, files, address="1-0040", number=1):
    lay(root, f"sys/bus/i2c/drivers/ina3221/{address}/hwmon/hwmon{number}", files)


def battery(root, **changes):
    lay(root, "sys/class/power_supply/battery", {**BATTERY, **changes})


def test_a_jetson_s_input_rail_holds_the_others(tmp_path):
    sensor(tmp_path, ORIN)
    assert power(tmp_path) == Power(pytest.approx(6.11072), "INA3221: VDD_IN")


def test_without_an_input_rail_all_rails_are_added(tmp_path):
    sensor(tmp_path, {"in1_label": "GPU", "in1_input": "19000", "curr1_input": "50"}, "1-0040", 3)
    sensor(tmp_path, {"in1_label": "CPU", "in1_input": "19000", "curr1_input": "100", "in2_input": "5000"}, "1-0041", 4)
    assert power(tmp_path) == Power(pytest.approx(2.85), "INA3221: CPU, GPU")


def test_a_phone_s_battery_counts_while_nothing_charges_it(tmp_path):
    lay(tmp_path, "sys/class/power_supply/ac", {"type": "Mains", "online": "0"})
    battery(tmp_path)
    assert power(tmp_path) == Power(pytest.approx(1.6274), "battery: battery")


@pytest.mark.parametrize("changes", [{"status": "Charging"}, {"current_now": "0"}, {"voltage_now": "n/a"}])
def test_what_a_charger_hides_or_nobody_can_read_is_not_measured(tmp_path, changes):
    battery(tmp_path, **changes)
    assert power(tmp_path) is None


def test_a_machine_without_meters_is_not_metered(tmp_path):
    assert power(tmp_path) is None
    ran = []
    assert energy(ran.append, ["x"], 1.0, lambda: None) == {"energy_mj": None, "energy_meter": None}
    assert ran == []


def test_energy_is_power_times_time_for_each_run():
    ran = []

    def run(feed):
        ran.append(feed)
        time.sleep(0.01)

    begin = time.monotonic()
    found = energy(run, ["a", "b"], 0.3, lambda: Power(5.0, "a meter"))
    elapsed = time.monotonic() - begin
    assert found["energy_meter"] == "a meter"
    assert max(0.3, 0.01 * len(ran)) <= found["energy_mj"] * len(ran) / 5e3 <= elapsed
    assert ran == ["ab"[at % 2] for at in range(len(ran))]
