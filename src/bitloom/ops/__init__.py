"""The operators, one file each; importing this package registers them all. `shared` has what families of them share."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
