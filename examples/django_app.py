"""Django: gunicorn --chdir examples django_app:app (ASGI: get_asgi_application in the same way)"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

import otelbridge
from otelbridge import logger


def show_item(request: HttpRequest, name: str) -> HttpResponse:
    logger.info("Item {name} asked for", name=name)  # has the request's trace and span ids
    return HttpResponse("tea")


urlpatterns = [path("items/<name>", show_item)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
app = otelbridge.instrument(get_wsgi_application())
